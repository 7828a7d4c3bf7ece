import { useState } from "preact/hooks";

const THEMES = ["system", "light", "dark"] as const;
const KEY = "moesaic-theme";

/** Before anything is drawn, or the page would show the other one for a moment. */
export function applyTheme(theme: string = storedTheme()): void {
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}

function storedTheme(): string {
  return localStorage.getItem(KEY) ?? "system";
}

/** Light or dark, as the system or the reader wants it. */
export function ThemeChoice() {
  const [theme, setTheme] = useState(storedTheme);
  const choose = (chosen: string): void => {
    setTheme(chosen);
    localStorage.setItem(KEY, chosen);
    applyTheme(chosen);
  };
  return (
    <label>
      Theme{" "}
      <select value={theme} onChange={({ currentTarget }) => choose(currentTarget.value)}>
        {THEMES.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}
