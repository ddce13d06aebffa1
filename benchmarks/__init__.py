"""What the README quotes figures of."""
