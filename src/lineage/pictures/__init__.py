"""How graphs, datasets, plans and runs look to people: in notebooks, as SVG and PNG files, on a terminal."""
