"""One reader for each kind of container: text, HTML, notebooks, PDF."""
