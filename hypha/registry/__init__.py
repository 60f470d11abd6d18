"""Services: register, index, find, choose and describe them."""
