async def start_service(server):
    """Hypha startup function."""

    def test(x, context=None): # Note that the context argument is added
        current_user = context["user"]
        if current_user["email"] not in authorized_users:
            raise Exception(f"User {current_user['email']} is not authorized to access this service.")
        print(f"Test: {x}")

    # Register a test service
    await server.register_service(
        {
            "id": "test-service",
            "config": {
                "visibility": "public",
                "require_context": True, # enable user context
            },
            "test": test,
        }
    )
