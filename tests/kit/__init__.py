"""What tests share: fakes, clocks, servers and databases of their own. Fixtures stand in conftest.py."""
