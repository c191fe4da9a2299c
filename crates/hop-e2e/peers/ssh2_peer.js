// ssh2 (npm) as a client. One JSON object as argument, one JSON object printed; see library.py.
'use strict';

const fs = require('fs');
const { Client } = require('ssh2');

const r = JSON.parse(process.argv[2]);
const report = (result) => console.log(JSON.stringify(result));
const knownKey = fs.readFileSync(r.known_hosts, 'ascii').split('\n')[0].split(' ')[2];

const connect = () => new Promise((resolve, reject) => {
  const client = new Client();
  client.on('ready', () => resolve(client)).on('error', reject).connect({
    host: r.host,
    port: r.port,
    username: r.user,
    privateKey: fs.readFileSync(r.key),
    hostVerifier: (key) => key.toString('base64') === knownKey,
  });
});

// Calls a callback-taking method and gives a promise for its result.
const call = (object, method, ...args) => new Promise((resolve, reject) => {
  object[method](...args, (error, value) => (error ? reject(error) : resolve(value)));
});

const ended = (channel) => new Promise((resolve) => {
  let status = null;
  channel.on('exit', (code) => { status = code; }).on('close', () => resolve(status));
});

// Runs a command. The listener for its status is there before the event loop goes on: success and status may come in
// one packet.
const exec = (client, ...options) => new Promise((resolve, reject) => {
  client.exec(r.command, ...options, (error, channel) => {
    if (error) reject(error);
    else resolve({ channel, status: ended(channel) });
  });
});

const operations = {
  async login() {
    try {
      (await connect()).end();
      report({ outcome: 'in' });
    } catch (error) {
      if (error.level !== 'client-authentication') throw error;
      report({ outcome: 'refused' });
    }
  },

  async exec(client) {
    const { channel, status } = await exec(client);
    let stdout = '';
    let stderr = '';
    channel.on('data', (part) => { stdout += part; });
    channel.stderr.on('data', (part) => { stderr += part; });
    report({ status: await status, stdout, stderr });
  },

  async upload(client) {
    const { channel, status } = await exec(client);
    channel.resume();
    fs.createReadStream(r.local).pipe(channel);
    report({ status: await status });
  },

  async download(client) {
    const { channel, status } = await exec(client);
    const sink = fs.createWriteStream(r.local);
    const written = new Promise((resolve) => { sink.on('finish', resolve); });
    channel.pipe(sink);
    await written;
    report({ status: await status });
  },

  async sftp(client) {
    const files = await call(client, 'sftp');
    await call(files, 'fastPut', r.local, `${r.folder}/first`);
    await call(files, 'rename', `${r.folder}/first`, `${r.folder}/second`);
    await call(files, 'fastGet', `${r.folder}/second`, r.back);
    const names = {};
    for (const entry of await call(files, 'readdir', r.folder)) names[entry.filename] = entry.attrs.size;
    report({ names });
  },

  async pty(client) {
    const { channel, status } = await exec(client, { pty: { term: 'vt220', cols: 132, rows: 43 } });
    let output = '';
    let resized = false;
    channel.on('data', (part) => {
      output += part;
      if (!resized && output.includes('ready')) {
        resized = true;
        channel.setWindow(30, 100, 0, 0);
        channel.write('\n');
      }
    });
    report({ status: await status, output });
  },
};

(async () => {
  const client = r.operation === 'login' ? null : await connect();
  await operations[r.operation](client);
  if (client) client.end();
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
