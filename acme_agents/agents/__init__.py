"""The agents: a folder each, with a README that says what it is and where every number is from."""
