// What lies over the pictures, and how opaque it is.
{
  const main = document.querySelector("main"), opacity = document.getElementById("opacity");
  if (opacity) {
    const shown = document.getElementById("opacity-shown");
    const set = () => {
      main.style.setProperty("--layer", opacity.value / 100);
      shown.textContent = `${opacity.value} %`;
    };
    opacity.addEventListener("input", set);
    for (const choice of document.querySelectorAll("input[name=layer]")) {
      choice.addEventListener("change", () => { main.dataset.layer = choice.value; });
      if (choice.checked) main.dataset.layer = choice.value;
    }
    set();
    opacity.closest(".controls").hidden = false;
  }
}
