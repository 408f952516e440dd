// Plug in: starts one OpenSearch node on the loopback address, and ends with whoever started it.
//
// java -cp 'lib/*' Launcher.java HOME CONFIG DATA LOGS PORT PORT_FILE
//
// PORT 0 takes a free one; the port taken is written to PORT_FILE once the node listens. The node
// stops when standard input ends, so that it never outlives a parent that was killed.

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Map;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;

public class Launcher {
    public static void main(String[] args) throws Exception {
        String name = "qtr-rerank";
        Settings settings = Settings.builder()
            .put("path.home", args[0])
            .put("path.data", args[2])
            .put("path.logs", args[3])
            .put("cluster.name", name)
            .put("node.name", name)
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", args[4])
            .put("transport.port", "0")
            .put("http.type", "netty4")
            .put("transport.type", "netty4")
            // A nearly full disk would make every index read-only, which a trial does not need.
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build();
        Environment environment = InternalSettingsPreparer.prepareEnvironment(
            settings, Map.of(), Path.of(args[1]), () -> name);
        LogConfigurator.setNodeName(name);
        LogConfigurator.configure(environment);
        Node node = new Node(environment).start();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (Exception fault) {
                fault.printStackTrace();
            }
        }));
        int port = node.injector().getInstance(HttpServerTransport.class)
            .boundAddress().publishAddress().getPort();
        Path file = Path.of(args[5]);
        Path unfinished = Path.of(args[5] + ".part");
        Files.writeString(unfinished, Integer.toString(port));
        Files.move(unfinished, file, StandardCopyOption.ATOMIC_MOVE);
        while (System.in.read() != -1) {
            // Nothing is ever sent: only the end counts.
        }
        System.exit(0);
    }
}
