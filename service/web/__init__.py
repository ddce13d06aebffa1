"""What every request begins with and every answer carries: deadline, limits, bodies, headers, documents, errors."""
