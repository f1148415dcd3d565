// Applies the saved theme before the first paint. A module would run after it.
"use strict";

{
  const saved = localStorage.getItem("theme");
  if (saved === "light" || saved === "dark") {
    document.documentElement.dataset.theme = saved;
  }
}
