"""Draw the pictures of docs/figures.md: run its blocks of code in order; a picture below a block is its `figure`.

Run: python docs/draw.py
"""

import re
from pathlib import Path

PAGE = Path(__file__).with_name("figures.md")
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$(?:\n\n!\[[^]]*\]\((?P<picture>[^)]+)\))?", re.S | re.M)

names: dict = {}
for block in BLOCK.finditer(PAGE.read_text()):
    exec(block["code"], names)
    if block["picture"]:
        png, _ = names["figure"]._repr_png_()
        (PAGE.parent / block["picture"]).write_bytes(png)
        print(block["picture"], f"{len(png) / 1000:.0f} kB")
