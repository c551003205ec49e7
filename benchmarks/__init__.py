"""How fast the game is; measured, never tested, for a timing says as much about the machine."""
