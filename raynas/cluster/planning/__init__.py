"""What is known before anything trains: connection, node check, plan, probe, forecast."""
