"""Custom worker example for Hypha."""

from hypha.workers.base import BaseWorker, WorkerConfig, SessionInfo, SessionStatus
from typing import List, Dict, Any, Optional, Union
import logging

logger = logging.getLogger(__name__)

class CustomWorker(BaseWorker):
    """Custom worker for executing tasks."""
    
    def __init__(self):
        super().__init__()
        self.running_tasks = {}
    
    @property
    def supported_types(self) -> List[str]:
        return ["custom-task", "background-job"]
    
    @property
    def name(self) -> str:
        return "Custom Worker"
    
    @property
    def description(self) -> str:
        return "A custom worker for executing tasks"
    
    async def _start_session(self, config: WorkerConfig) -> Dict[str, Any]:
        """Start a custom worker session."""
        logger.info(f"Starting custom session for app {config.app_id}")
        
        # Your custom session logic here
        task_info = {
            "status": "running",
            "logs": [f"Started task for {config.app_id}"],
            "result": None
        }
        
        return {
            "task_info": task_info,
            "local_url": f"http://localhost:8000/tasks/{config.app_id}",
            "public_url": f"{config.public_base_url}/tasks/{config.app_id}",
        }
    
    async def _stop_session(self, session_id: str) -> None:
        """Stop a custom worker session."""
        logger.info(f"Stopping custom session {session_id}")
        # Your cleanup logic here
    
    async def _get_session_logs(
        self, 
        session_id: str, 
        log_type: Optional[str] = None,
        offset: int = 0,
        limit: Optional[int] = None
    ) -> Union[Dict[str, List[str]], List[str]]:
        """Get logs for a custom worker session."""
        session_data = self._session_data.get(session_id, {})
        logs = session_data.get("task_info", {}).get("logs", [])
        
        if log_type:
            return logs[offset:offset+limit] if limit else logs[offset:]
        else:
            return {"log": logs[offset:offset+limit] if limit else logs[offset:]}

async def hypha_startup(server):
    """Hypha startup function to register the custom worker."""
    
    # Create and initialize the custom worker
    custom_worker = CustomWorker()
    await server.register_service(custom_worker.get_service())
    
    logger.info("Custom worker registered successfully")
