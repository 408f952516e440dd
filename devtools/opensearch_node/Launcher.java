// Starts one OpenSearch node on the loopback address; it ends with the process that started it.
//
// java -cp 'lib/*' Launcher.java HOME CONFIG DATA LOGS PORT PORT_FILE
//
// PORT 0 takes a free port. The port is written to PORT_FILE when the node listens. The node stops
// when its standard input ends, so that it does not survive a killed parent.

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
            // Otherwise a nearly full disk makes every index read-only.
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
            // Nothing is sent; only the end of the stream matters.
        }
        System.exit(0);
    }
}
