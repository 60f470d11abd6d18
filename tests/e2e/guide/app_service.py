from hypha_rpc import connect_to_server

async def register_worker_service(server_url, token, app_id):
    async with connect_to_server({
        "server_url": server_url,
        "token": token
    }) as server:
        def process_task(task_data):
            # Process the task
            print(f"Processing task: {task_data}")
            return f"Task completed: {task_data}"
        
        def get_status():
            return {"status": "ready", "load": 0.5}
        
        # Register service with app_id
        service_info = await server.register_service({
            "id": "worker-service-instance-1",
            "name": "Worker Service Instance 1",
            "type": "compute",
            "app_id": app_id,  # Associate with the application
            "config": {
                "visibility": "public"
            },
            "process_task": process_task,
            "get_status": get_status
        })
        
        print(f"Service registered: {service_info.id}")
        print(f"Associated with app: {app_id}")
        
        # Keep the service running
        await server.serve()

if __name__ == "__main__":
    import asyncio
    # Use the app_id from the application you created
    asyncio.run(register_worker_service("https://ai.imjoy.io", "your-token", "my-distributed-app"))
