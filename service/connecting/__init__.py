"""The handshake that connects an account, and the smaller one by which a person signs in."""
