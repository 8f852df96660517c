"""How predictions and explanations change when inputs, queries or teaching examples change a little."""
