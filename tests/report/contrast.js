// [kind, what, ratio, wanted] of every text that is seen and every mark of a figure, against what lies behind it.
// WCAG 2: relative luminance of sRGB, (lighter + .05) / (darker + .05); 4.5 for text, 3 for large text and figures.
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  function rgba(colour) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  }
  function luminance([red, green, blue]) {
    const linear = (value) => ((value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  }
  function ratio(one, other) {
    const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  }
  function behind(element) {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] > 250) return colour;
    }
    return [255, 255, 255, 255];
  }
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!own || !element.checkVisibility() || element.closest("script, noscript, option")) continue;
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ink = element.namespaceURI.endsWith("svg") ? style.fill : style.color;
    found.push(["text", element.textContent.trim().slice(0, 30), ratio(rgba(ink), behind(element)), large ? 3 : 4.5]);
  }
  for (const element of document.querySelectorAll(".plot .mark, .plot .curve")) {
    const paint = rgba(getComputedStyle(element).stroke);
    found.push(["mark", element.getAttribute("class"), ratio(paint, behind(element)), 3]);
  }
  return found;
}
