// Looking for what has changed, as long as a part of the page is shown.

import { failure } from "./dom.js";

const LOOK_MS = 5000;
const SOON_MS = 250;
const CHANGES = /^(service|client)_|^app_/;

/** Look now and then, and soon after something happened, while a part of the page is shown. */
export function lookOut(area, look, answer) {
  let timer = 0, isLooking = false, isAgain = false;
  const next = (wait) => {
    clearTimeout(timer);
    if (area.isConnected) timer = setTimeout(() => (document.hidden ? next(LOOK_MS) : again()), wait);
  };
  const again = async () => {
    isAgain = isLooking;
    if (isLooking) return;
    isLooking = true;
    try {
      await look();
      if (answer.dataset.isLost) answer.replaceChildren();
      delete answer.dataset.isLost;
    } catch (error) {
      answer.dataset.isLost = "yes";
      answer.replaceChildren(failure(error));
    }
    isLooking = false;
    next(isAgain ? SOON_MS : LOOK_MS);
  };
  return { look: again, soon: () => next(SOON_MS), onEvent: (type) => CHANGES.test(type) && next(SOON_MS) };
}
