"""What an account has granted, and live tokens from it: refresh, mint, revoke, upkeep, alerts."""
