"""Draw the picture of the README, data/readme/ladder.png, from live traffic: `make picture`."""

from pathlib import Path

import labs

HERE = Path(__file__).resolve().parent.parent

with labs.network("client", "server") as net:
    client, server = net
    listener = server.listen(80)
    with net.capture() as cap:
        sock = client.connect(server, 80)
        connection, _ = listener.accept()
        sock.sendall(b"GET / HTTP/1.1\r\nHost: server\r\n\r\n")
        connection.recv(1000)
    for open_socket in (sock, connection, listener):
        open_socket.close()

picture = HERE / "data" / "readme" / "ladder.png"
picture.parent.mkdir(parents=True, exist_ok=True)
view = cap.ladder(title="A client connects, and asks")
view.save(picture)
print(view)
