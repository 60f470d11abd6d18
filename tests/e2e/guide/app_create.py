from hypha_rpc import connect_to_server

async def create_application(server_url, token):
    async with connect_to_server({
        "server_url": server_url,
        "token": token
    }) as server:
        # Get the artifact manager
        artifact_manager = await server.get_service("public/artifact-manager")
        
        # Create an application manifest
        app_manifest = {
            "name": "my-distributed-app",
            "description": "A distributed application with multiple service instances",
            "type": "application",
            "service_selection_mode": "random",  # How to select between multiple instances
            "services": [
                {
                    "id": "worker-service",
                    "name": "Worker Service",
                    "type": "compute",
                    "description": "A compute worker service"
                },
                {
                    "id": "storage-service", 
                    "name": "Storage Service",
                    "type": "storage",
                    "description": "A storage service"
                }
            ]
        }
        
        # Create the application artifact
        app_artifact = await artifact_manager.create(
            type="application",
            manifest=app_manifest,
            alias="my-distributed-app"
        )
        
        # Commit the artifact to make it available
        await artifact_manager.commit(artifact_id=app_artifact.id)
        
        print(f"Application created with ID: {app_artifact.id}")
        return app_artifact

if __name__ == "__main__":
    import asyncio
    asyncio.run(create_application("https://ai.imjoy.io", "your-token"))
