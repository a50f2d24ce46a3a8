"""One module for each page: parse, authorise, call the repository, render."""
