async function registerWorkerService(serverUrl, token, appId) {
    const server = await hyphaWebsocketClient.connectToServer({
        server_url: serverUrl,
        token: token
    });
    
    function processTask(taskData) {
        // Process the task
        console.log(`Processing task: ${taskData}`);
        return `Task completed: ${taskData}`;
    }
    
    function getStatus() {
        return {status: "ready", load: 0.5};
    }
    
    // Register service with app_id
    const serviceInfo = await server.registerService({
        id: "worker-service-instance-1",
        name: "Worker Service Instance 1",
        type: "compute",
        app_id: appId,  // Associate with the application
        config: {
            visibility: "public"
        },
        process_task: processTask,
        get_status: getStatus
    });
    
    console.log(`Service registered: ${serviceInfo.id}`);
    console.log(`Associated with app: ${appId}`);
}

// Usage
registerWorkerService("https://ai.imjoy.io", "your-token", "my-distributed-app");
