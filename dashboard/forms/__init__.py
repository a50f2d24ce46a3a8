"""Forms: one module for each page; they parse and check what was typed, the repository decides."""
