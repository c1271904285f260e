"""How the pages are built: `sphinx-build -W --keep-going -n docs build/docs`.

Rule: nothing is fetched, neither for building nor for reading.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
# The package beside the pages, whatever is installed.
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import httpkit  # noqa: E402  # the one beside the pages

project = "httpkit"
author = "The httpkit maintainers"
copyright = author  # noqa: A001  # Sphinx's own name
release = version = httpkit.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "myst_nb",
    "reference",
]
exclude_patterns = ["_build", "reference/api.md"]  # the summary is for a checkout
nitpicky = True

# Markdown: the pages are read on a forge as well, so no extension of its syntax is used.
myst_heading_anchors = 4

# The quickstart is kept without outputs, and run here: what a reader sees came from this code.
nb_execution_mode = "force"
nb_execution_timeout = 60
nb_execution_raise_on_error = True

# The reference: types stand beside the words about them, in the order of the source.
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
default_role = "py:obj"
python_maximum_signature_line_length = 80
# What other packages and the language define: their pages are not asked for at build time.
_FOREIGN = {
    "py:class": [
        "T", "D", "M", "RetryCallState", "SSLContext",
        "ssl.SSLContext", "AuthBase", "Buffer", "CookieJar", "Executor", "Path",
        "PathLike", "os.PathLike",
        "DataFrame", "Document", "PreparedRequest", "Pattern",
    ],
    "py:exc": [
        "RequestException", "InvalidURL", "ReadTimeout", "ContentDecodingError",
        "ChunkedEncodingError", "NotStartedError",
    ],
}  # fmt: skip
nitpick_ignore = [(role, name) for role, names in _FOREIGN.items() for name in names]
# Single backticks are names where they lead somewhere, and code where they do not.
nitpick_ignore_regex = [("py:obj", ".*"), ("py:class", r"requests\..*")]
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"httpkit {release}"
html_static_path = ["_static"]
html_css_files = ["httpkit.css"]
pygments_dark_style = "github-dark"  # furo's default underlines names, as if they were links
html_copy_source = False
html_show_sourcelink = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
