// Who is signed in: a token in this tab's storage, or the cookie of the server's own pages.

const KEY = "hypha.token";
const basePath = document.body.dataset.basePath;
const CHECK_S = 20;
const LOGIN = `${basePath}/public/services/hypha-login`;

/** The token of this tab, or an empty string. */
export function token() {
  try {
    return sessionStorage.getItem(KEY) || "";
  } catch {
    return "";
  }
}

export function keepToken(text) {
  sessionStorage.setItem(KEY, text.trim());
}

export function forgetToken() {
  sessionStorage.removeItem(KEY);
}

/** True if this server has a sign-in page. */
export async function canSignIn() {
  const answer = await fetch(LOGIN).catch(() => null);
  return Boolean(answer && answer.ok);
}

/** Sign in on the server's own page, in a window of its own; resolves with the token. */
export async function signIn(workspace, signal) {
  const popup = window.open("", "_blank", "popup,width=520,height=760");
  try {
    const started = await post("start", {});
    if (popup) popup.location = started.login_url;
    else location.assign(started.login_url);
    for (;;) {
      if (signal.aborted) throw new Error("Signing in was stopped.");
      const found = await post("check", { key: started.key, timeout: CHECK_S }).catch((error) => {
        if (/timeout/i.test(error.message)) return null;
        throw error;
      });
      if (found) return found;
      if (popup && popup.closed) throw new Error("The sign-in window was closed.");
    }
  } finally {
    if (popup) popup.close();
  }
}

async function post(name, args) {
  const answer = await fetch(`${LOGIN}/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(args),
  });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.detail || `The server answered ${answer.status}.`);
  return body;
}
