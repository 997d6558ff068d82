"""The script that Streamlit runs at each touch of a page, alone in its folder: Streamlit puts that on `sys.path`."""

from clfctl.app.shell import show

show()
