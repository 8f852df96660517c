"""Formulas as MathML, which browsers draw themselves: nothing is fetched, and no TeX is needed."""

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml


def setup(app):
    """Register the renderer that `html_math_renderer` names."""
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    return {"parallel_read_safe": True}


def inline(translator, node):
    """Write a formula within a line."""
    translator.body.append(tex2mathml(node.astext(), as_block=False))
    raise SkipNode


def display(translator, node):
    """Write a formula of its own line."""
    translator.body.append(tex2mathml(node.astext(), as_block=True))
    raise SkipNode
