"""Where alerts come from: one module per kind of source behind one protocol."""
