"""How does the difference between two learning algorithms move with the number of classes K?

The public names; each is imported when it is first used, so that ``import kaxis`` costs nothing.

>>> import kaxis
>>> study = kaxis.Study.of("try", {"source": "digits", "K": [3, 5], "seeds": "0-4", "steps": 1000})
>>> len(study.cells())
40
"""

import os

import lazy_loader

# MKL rounds a product by where its numbers lie in memory, so by a network's place among others, unless it is told not
# to before its first product.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # the names stand in __init__.pyi
