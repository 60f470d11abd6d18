// Apps to begin with, as the server has them at `/ws/<name>_template.hypha.html`.

import { basePath } from "./api.js";

/** Name, title, type, and what it is. */
export const TEMPLATES = [
  ["code", "Code", "web-worker", "The shortest app: one function that others can call"],
  ["javascript_app", "JavaScript app", "window", "A page in a browser of the server, with functions that others can call"],
  ["javascript_advanced", "JavaScript advanced", "window", "Draws what it is told, keeps data in a file, and offers two services"],
  ["python_app", "Python app", "python-eval", "A Python process with functions that others can call"],
  ["fastapi_app", "FastAPI app", "web-python", "A web application in Python, in a browser of the server"],
  ["fastapi_advanced", "FastAPI advanced", "python-env", "A web application with a page, an interface and memory, in an environment of its own"],
  ["conda_jupyter_kernel", "Jupyter kernel", "conda-jupyter-kernel", "Python in an environment of its own, which keeps what it has defined and runs more when it is told to"],
  ["mcp_server", "MCP server", "mcp-server", "Tools of an MCP server elsewhere, as services of this workspace"],
  ["a2a_agent", "A2A agent", "a2a-agent", "An agent elsewhere, as a service of this workspace"],
  ["web_app", "Web app", "web-app", "A page elsewhere, opened in a browser of the server"],
  ["web_python_kernel", "Python in the browser", "web-python", "Runs Python that it is given, in a browser of the server"],
  ["webcontainer", "Web container", "window", "Runs small web projects that it is given, each in a frame of its own"],
].map(([name, title, type, about]) => ({ name, title, type, about }));

/** The text of a template. */
export async function templateText(name) {
  const answer = await fetch(`${basePath}/ws/${name}_template.hypha.html`);
  if (!answer.ok) throw new Error(`The template ${name} could not be loaded: the server answered ${answer.status}.`);
  return answer.text();
}
