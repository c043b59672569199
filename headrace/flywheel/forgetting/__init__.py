"""A person is forgotten, and every adapter that descends from one they taught is trained again."""
