// Opened as a file, a page may load no modules: page.js will not run. This says so, instead of "Loading".

if (location.protocol === 'file:') {
  const message = document.createElement('p');
  message.className = 'unserved';
  const command = document.createElement('code');
  command.textContent = 'python3 -m http.server -d FOLDER';
  message.append('This page does not run from a file. Put its folder on a web host, or run ', command, ' and open http://localhost:8000/.');
  document.querySelector('main').replaceChildren(message);
}
