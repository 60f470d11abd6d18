"""Local accounts: e-mail and password, and the page on which people sign in."""
