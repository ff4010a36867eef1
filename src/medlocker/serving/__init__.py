"""What every server of this program shares: who may ask at all, the port, what is kept in memory."""
