"""The search strategies, a module each: how they plan, forecast and search."""
