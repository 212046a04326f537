"""The documentation site: `make docs`."""

from importlib.metadata import version as installed

project = "kaxis"
author = copyright = "the kaxis developers"
version = release = installed("kaxis")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_nb"]
root_doc = "index"
suppress_warnings = ["config.cache"]
html_theme = "furo"
html_title = "kaxis"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False

myst_heading_anchors = 3
nb_execution_mode = "force"  # the tutorials are executed anew, from the committed records
nb_execution_timeout = 170
nb_execution_raise_on_error = True
nb_execution_show_tb = True

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections say them
numpydoc_show_class_members = False
