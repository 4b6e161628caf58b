"""What may be told, and to whom: secrets masked, addresses shortened, terminals left in peace."""
