import init from '{app.js}';
init({ module_or_path: '{app.wasm}' }).catch((error) => {
  const shell = document.getElementById('loading');
  if (shell) shell.textContent = 'The dashboard could not start: ' + error + '. Reload the page; it needs a browser with WebAssembly.';
});
