// Every table sorts, long ones can be searched, commands can be copied.

for (const table of document.querySelectorAll("table")) {
  makeSortable(table);
  makeSearchable(table);
}

for (const box of document.querySelectorAll(".command")) {
  if (!navigator.clipboard) break;
  const button = element("button", { type: "button", textContent: "Copy" });
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(box.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  box.append(button);
}
