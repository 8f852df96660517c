"""How the documentation is built: `make docs` writes build/docs/index.html. Nothing is fetched while it is read."""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import mapsto
from mapsto.play import page as play

project, author, copyright = "mapsto", "The mapsto authors", "The mapsto authors"
release = version = mapsto.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "mathematics",
    "reference",
]
html_math_renderer = "mathml"
html_theme = "furo"
html_title = "mapsto ↦"
html_static_path = ["_static"]
html_css_files = ["mapsto.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5fa8", "color-brand-content": "#1f5fa8"},
    "dark_css_variables": {"color-brand-primary": "#8ab8f0", "color-brand-content": "#8ab8f0"},
}

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # notebooks hold their outputs; the tests run them

default_role = "code"  # docstrings write `x` for code
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_inherit_docstrings = True
autoclass_content = "class"
napoleon_google_docstring, napoleon_numpy_docstring = True, False
python_maximum_signature_line_length = 100

OUTSIDE = {  # pages that lie elsewhere in the repository, for readers of the code
    "../benchmarks/RESULTS.md": "results.md",
    "../benchmarks/SPEEDRUN.md": "speedrun.md",
    "../CHANGELOG.md": "changelog.md",
    "../CONTRIBUTING.md": "contributing.md",
    "SPEEDRUN.md": "speedrun.md",
    "docs/": "",
    "LICENSE": "license.md",
    "../../docs/": "../",
    "../examples/notebooks/": "notebooks/",
}


def setup(app):
    """Copy the notebooks and the page to play with, and lead links to the pages outside to their copies."""
    app.connect("builder-inited", lambda app: copy_notebooks(Path(app.srcdir)))
    app.connect("source-read", lambda app, page, text: lead(text))
    app.connect("include-read", lambda app, path, parent, text: lead(text))
    app.connect("build-finished", lambda app, error: error or play.write(Path(app.outdir) / "play.html"))


def copy_notebooks(docs):
    """Copy the notebooks into docs/notebooks, where Sphinx finds them."""
    shutil.copytree(docs.parent / "examples" / "notebooks", docs / "notebooks", dirs_exist_ok=True)


def lead(text):
    """Change the links of a page, the only entry of `text`."""
    for path, copy in OUTSIDE.items():
        text[0] = text[0].replace(f"]({path}", f"]({copy}")
