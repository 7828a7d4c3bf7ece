import { render } from "preact";
import { Page } from "./page.js";
import { applyTheme } from "./theme.js";

applyTheme();
render(<Page />, document.querySelector("#page")!);
