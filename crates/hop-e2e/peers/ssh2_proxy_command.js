// ssh2 (npm) over a ProxyCommand that it runs itself, as editors do that do not use ssh. The argument is a file with one
// JSON object; one is printed.
'use strict';

const { spawn } = require('child_process');
const fs = require('fs');
const { Duplex } = require('stream');
const { Client } = require('ssh2');

const r = JSON.parse(fs.readFileSync(process.argv[2]));
const proxy = spawn(r.proxy_command, { shell: true, stdio: ['pipe', 'pipe', 'inherit'] });
const sock = Duplex.from({ readable: proxy.stdout, writable: proxy.stdin });
const client = new Client();
client.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
client.on('ready', () => {
  client.exec(r.command, (error, channel) => {
    if (error) throw error;
    const parts = [];
    let status = null;
    channel.on('data', (part) => parts.push(part));
    channel.on('exit', (code) => { status = code; });
    channel.on('close', () => {
      const said = Buffer.concat(parts).toString();
      console.log(JSON.stringify({ status, stdout_bytes: said.length, first: said.split('\n')[0] }));
      client.end();
      proxy.kill();
      process.exit(0);
    });
    channel.end(r.input);
  });
});
client.connect({ sock, username: r.user, privateKey: fs.readFileSync(r.key), readyTimeout: 60000 });
