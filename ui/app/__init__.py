"""The pages: look, listen, decide. A Streamlit app on top of `index.Library`."""
