"""How much predictions and explanations change when inputs, queries or support examples change a little."""
