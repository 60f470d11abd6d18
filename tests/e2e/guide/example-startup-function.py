"""Example startup function file for Hypha."""

async def hypha_startup(server):
    """Hypha startup function."""

    def test(x):
        print(f"Test: {x}")

    # Register a test service
    await server.register_service(
        {
            "id": "test-service",
            "config": {
                "visibility": "public",
                "require_context": False,
            },
            "test": test,
        }
    )

    # You can also configure custom authentication here
    # await server["set_parse_token_function"](custom_parse_token)
    # await server["set_generate_token_function"](custom_generate_token)

    # Note: In startup functions, the server connection is managed by Hypha,
    # so you don't need to use async with or call disconnect()
