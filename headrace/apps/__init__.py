"""Applications: a recipe, sample rows, one file of policy each. What two of them need moves down."""
