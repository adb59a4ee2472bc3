import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command line tools one after the other in one JVM, because starting one for each takes longer than what they do.
 *
 * A line of standard input is a call: main class, standard input, arguments, separated by spaces, each as "=" and base64. It is answered by a
 * line: exit status, standard output, standard error. A tool that ends the process gets its shutdown hooks run and its thread stopped
 * there, so that nothing after the exit is done; one that does not end in time has the status "timeout".
 */
public final class Tools {
    private static final long SECONDS = 60;
    private static final PrintStream ANSWERS = System.out;

    public static void main(String[] none) throws Exception {
        System.setOut(new PrintStream(new OfCall(true), true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(new OfCall(false), true, StandardCharsets.UTF_8));
        BufferedReader calls = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = calls.readLine(); line != null; line = calls.readLine()) {
            String[] words = line.split(" ");
            String[] args = Arrays.stream(words).skip(2).map(Tools::decoded).toArray(String[]::new);
            ANSWERS.println(call(decoded(words[0]), decoded(words[1]), args));
            ANSWERS.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static String call(String name, String input, String[] args) throws Exception {
        Printed printed = new Printed();
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        List<Runnable> hooks = Collections.synchronizedList(new ArrayList<>());
        CompletableFuture<Integer> status = new CompletableFuture<>();
        Exit.Procedure exit = (code, message) -> {
            if (message != null) {
                System.err.println(message);
            }
            status.complete(code);
            stopHere();
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        Exit.setShutdownHookAdder((hook, runnable) -> hooks.add(runnable));
        // The tools' log names the thread.
        Thread thread = new Thread(printed, () -> {
            try {
                Class.forName(name).getMethod("main", String[].class).invoke(null, (Object) args);
                status.complete(0);
            } catch (Throwable e) {
                (e.getCause() == null ? e : e.getCause()).printStackTrace();
                status.complete(1);
            }
        }, "main");
        thread.setDaemon(true);
        thread.start();
        String code;
        try {
            code = String.valueOf(status.get(SECONDS, TimeUnit.SECONDS));
        } catch (TimeoutException e) {
            code = "timeout";
        }
        for (Runnable hook : new ArrayList<>(hooks)) {
            Thread last = new Thread(printed, hook, "hook");
            last.setDaemon(true);
            last.start();
            last.join(5000);
        }
        return code + " " + encoded(printed.out) + " " + encoded(printed.err);
    }

    /** What the threads of a call print. Those of an earlier call may still be there and complain. */
    private static final class Printed extends ThreadGroup {
        private final ByteArrayOutputStream out = new ByteArrayOutputStream();
        private final ByteArrayOutputStream err = new ByteArrayOutputStream();

        Printed() {
            super("call");
        }
    }

    /** Goes to the call whose thread writes. */
    private static final class OfCall extends OutputStream {
        private final boolean isOut;

        OfCall(boolean isOut) {
            this.isOut = isOut;
        }

        @Override
        public void write(int b) {
            write(new byte[] {(byte) b}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int from, int count) {
            for (ThreadGroup group = Thread.currentThread().getThreadGroup(); group != null; group = group.getParent()) {
                if (group instanceof Printed) {
                    Printed printed = (Printed) group;
                    (isOut ? printed.out : printed.err).write(bytes, from, count);
                }
            }
        }
    }

    private static void stopHere() {
        try {
            new CountDownLatch(1).await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String decoded(String word) {
        return new String(Base64.getDecoder().decode(word.substring(1)), StandardCharsets.UTF_8);
    }

    private static String encoded(ByteArrayOutputStream bytes) {
        return "=" + Base64.getEncoder().encodeToString(bytes.toByteArray());
    }
}
