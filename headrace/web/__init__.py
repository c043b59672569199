"""HTTP: checks the key, asks the quota, calls the engine, writes the Answer."""
